//go:build race || poison

package attributesprocessor

const strict = true
