package vfs

import (
	"slices"
	"strings"
)

func sortByName(list []Info) {
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
}
