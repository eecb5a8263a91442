package pprofreceiver

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// maxVisited bounds what is looked at for a pattern with **.
const maxVisited = 100_000

// MatchFiles returns the files that a pattern of Config.Files matches: filepath.Glob, in which a folder named ** stands for any number of folders.
// Links to folders are not followed there. Validate has looked at the pattern.
func MatchFiles(pattern string) (found []string) {
	parts := strings.Split(filepath.ToSlash(pattern), "/")
	at := slices.Index(parts, "**")
	if at < 0 {
		found, _ = filepath.Glob(pattern)
		return found
	}
	first := filepath.FromSlash(strings.Join(parts[:at], "/"))
	switch {
	case at == 0:
		first = "."
	case first == "":
		first = string(filepath.Separator)
	}
	roots, _ := filepath.Glob(first)
	visited := 0
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if visited++; visited > maxVisited {
				return filepath.SkipAll
			}
			if err != nil { // a folder that cannot be read
				return nil
			}
			below, _ := filepath.Rel(root, path)
			if !d.IsDir() && matchParts(parts[at:], strings.Split(filepath.ToSlash(below), "/")) {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// matchParts matches the folders and the name of a file.
func matchParts(pattern, path []string) bool {
	if len(pattern) == 0 || len(path) == 0 {
		return len(pattern) == len(path)
	}
	if pattern[0] != "**" {
		ok, _ := filepath.Match(pattern[0], path[0])
		return ok && matchParts(pattern[1:], path[1:])
	}
	for i := range len(path) + 1 {
		if len(pattern) > 1 && i < len(path) && matchParts(pattern[1:], path[i:]) {
			return true
		}
	}
	return len(pattern) == 1
}
