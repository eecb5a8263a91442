//go:build race || poison

package redactionprocessor

const strict = true
