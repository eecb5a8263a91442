// Package functions has the editors and converters of the OpenTelemetry Transformation
// Language: those that the Collector's processors share (Standard), one file for each
// family. Functions that belong to one processor are with it.
//
// A function is a value of ottl.Function. Its compile step gets the arguments once; what it
// returns runs for each item, on several goroutines at once, and does not allocate unless
// it makes a new text: memory for that comes from Env.Scratch. Errors of literals are
// errors of the compile step.
package functions
