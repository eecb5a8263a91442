// Package join keeps what the documented API reports apart (stacks as lists of
// addresses, symbols, executables) until stacks can be resolved.
package join
