package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// Error is a place in a text that is not in the language.
type Error struct {
	What     string // "statement", "condition" or "value"
	Text     string // the whole text
	Pos      Pos    // where the error is
	Found    string // what is there, such as `"wher"` or `the end`
	Expected string // what the grammar has there, such as `"where"`; or empty
	Hint     string // what was probably meant, such as `did you mean "where"?`; or empty

	size int // of what was found, in bytes
}

// maxQuoted is how much of a text an error quotes, in bytes.
const maxQuoted = 200

// Error returns the message in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("parse the %s %s at %s: %s", e.What, strconv.Quote(shorten(e.Text, int(e.Pos))), e.place(), e.reason())
}

// Explain returns the line of the error with carets below what was found, and the reason:
//
//	set(body, "x") wher true
//	               ^^^^ found "wher", expected "where" or the end, did you mean "where"?
func (e *Error) Explain() string {
	begin := strings.LastIndexByte(e.Text[:e.Pos], '\n') + 1
	line, _, _ := strings.Cut(e.Text[begin:], "\n")
	before := e.Text[begin:e.Pos]
	line = before + strings.TrimSuffix(line[len(before):], "\r")
	from, to := 0, len(line)
	if len(before) > maxQuoted/2 {
		from = runeStart(before, len(before)-maxQuoted/2)
	}
	if rest := len(line) - len(before); rest > maxQuoted/2 {
		to = runeStart(line, len(before)+maxQuoted/2)
	}
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, before[from:])
	found := line[len(before):min(max(len(before)+e.size, len(before)), to)]
	return line[from:to] + "\n" + indent + strings.Repeat("^", max(1, utf8.RuneCountInString(found))) + " " + e.reason()
}

// place returns line and column, or the column only if the text is one line.
func (e *Error) place() string {
	begin := strings.LastIndexByte(e.Text[:e.Pos], '\n') + 1
	column := "column " + strconv.Itoa(utf8.RuneCountInString(e.Text[begin:e.Pos])+1)
	if !strings.Contains(e.Text, "\n") {
		return column
	}
	return "line " + strconv.Itoa(strings.Count(e.Text[:e.Pos], "\n")+1) + ", " + column
}

func (e *Error) reason() string {
	text := "found " + e.Found
	if e.Expected != "" {
		text += ", expected " + e.Expected
	}
	if e.Hint != "" {
		text += ", " + e.Hint
	}
	return text
}

// shorten returns the part of a text around an offset that an error quotes.
func shorten(text string, at int) string {
	if len(text) <= maxQuoted {
		return text
	}
	from := runeStart(text, max(0, at-maxQuoted/2))
	to := runeStart(text, min(len(text), at+maxQuoted/2))
	text, before, after := text[from:to], from > 0, to < len(text)
	if before {
		text = "..." + text
	}
	if after {
		text += "..."
	}
	return text
}

// runeStart returns the first offset from at on where a character begins.
func runeStart(text string, at int) int {
	for at < len(text) && !utf8.RuneStart(text[at]) {
		at++
	}
	return at
}

// describe returns how an error names a token.
func describe(t token) string {
	switch t.kind {
	case kindEnd:
		return "the end"
	case kindString:
		return "the string " + strconv.Quote(shorten(t.text, 0))
	}
	return strconv.Quote(shorten(t.text, 0))
}

// strayCharacter is the error about a character that no token begins with.
func strayCharacter(text string, pos Pos) *Error {
	r, size := utf8.DecodeRuneInString(text)
	e := &Error{Pos: pos, size: size, Found: strconv.Quote(text[:size])}
	switch r {
	case '\'', '`', '‘', '’', '“', '”':
		e.Hint = `strings are in double quotes: "text"`
	case '&', '|', '!':
		word := map[rune]string{'&': "and", '|': "or", '!': "not"}[r]
		if r != '!' && strings.HasPrefix(text[1:], text[:1]) {
			e.Found, e.size = strconv.Quote(text[:2]), 2
		}
		e.Hint = "did you mean " + strconv.Quote(word) + "?"
	case '_':
		e.Hint = "names begin with a letter"
	case '$', '%':
		e.Hint = "this character is only allowed in strings"
	}
	if e.Hint == "" {
		e.Expected = "a name, a literal or an operator"
	}
	return e
}

// unknownEscape is the error about a backslash in a string that begins no escape.
func unknownEscape(text string, pos Pos) *Error {
	size := min(2, len(text))
	for size < len(text) && !utf8.RuneStart(text[size]) {
		size++
	}
	return &Error{
		Pos: pos, size: size, Found: "the escape " + strconv.Quote(text[:size]) + " in a string",
		Expected: `one of \\ \" \n \r \t \a \b \f \v \x \u \U or three octal digits`,
		Hint:     `a backslash of a regular expression is written twice: "\\d"`,
	}
}

// hintKeyword returns a guess of which of the keywords a word was meant to be.
func hintKeyword(t token, keywords ...string) string {
	if t.kind != kindLower && t.kind != kindUpper {
		return ""
	}
	for _, k := range keywords {
		if strings.EqualFold(t.text, k) || k == "nil" && strings.EqualFold(t.text, "null") {
			return "did you mean " + strconv.Quote(k) + "?"
		}
		if near(t.text, k) {
			return "did you mean " + strconv.Quote(k) + "?"
		}
	}
	return ""
}

// near reports whether a word is a misspelling of a keyword. Keywords are short, so that
// one letter of three may differ.
func near(word, keyword string) bool {
	return len(word) > 1 && suggest.Nearest(word, []string{keyword}) == keyword
}
