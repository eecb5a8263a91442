// Package reporter is what a profiler embeds.
package reporter
