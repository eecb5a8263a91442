// Package oracle compares penstock's processors and connectors with those of the
// Collector's contrib distribution: both get the same settings as YAML and the
// same requests, and what they send is compared as decoded values. The tests of
// this module are tables of settings and OTTL statements under testdata, run over
// generated requests.
//
// The contrib components are of v0.161.0, the last release that is available as
// Go modules in full. They link a Collector of another release than the one that
// hosts components in penstock, which is why this is a module of its own.
package oracle
