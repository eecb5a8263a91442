//go:build race || poison

package resourceprocessor

const strict = true
