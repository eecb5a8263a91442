//go:build race || poison

package pipeline

const strict = true
