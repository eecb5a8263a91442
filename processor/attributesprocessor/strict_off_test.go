//go:build !race && !poison

package attributesprocessor

// strict says that the build allocates more than the product does.
const strict = false
