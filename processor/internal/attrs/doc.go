// Package attrs is what the processors share that read and edit attributes: a
// Scanner over the attributes of a message, where the items of each signal have
// theirs, and AnyValues as a configuration writes them and as the Collector prints
// them.
package attrs
