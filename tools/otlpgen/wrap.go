package main

import (
	"bytes"
	"regexp"
)

// commentColumns is the width of the comments that wrapComments writes; a tab
// counts as one column.
const commentColumns = 80

var wholeLineComment = regexp.MustCompile(`^\t*// `)

// wrapComments breaks the comments in src that have a line of their own and are
// longer than commentColumns. The templates write each comment as one line.
func wrapComments(src []byte) []byte {
	var out []byte
	for line := range bytes.Lines(src) {
		prefix := wholeLineComment.Find(line)
		for prefix != nil && len(bytes.TrimRight(line, "\n")) > commentColumns {
			end := bytes.LastIndexByte(line[:commentColumns+1], ' ')
			if end <= len(prefix) {
				break // one long word
			}
			out = append(append(out, line[:end]...), '\n')
			line = append(bytes.Clone(prefix), line[end+1:]...)
		}
		out = append(out, line...)
	}
	return out
}
