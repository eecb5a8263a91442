//go:build !race && !poison

package pipeline

// strict says that the build allocates more than the product does.
const strict = false
