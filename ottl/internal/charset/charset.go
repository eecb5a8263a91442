// Package charset converts texts in older encodings to UTF-8.
package charset

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Append appends a text in an encoding as UTF-8. What is not in the encoding becomes the
// replacement character.
type Append = func(dst, text []byte) ([]byte, error)

var names = map[string]Append{
	"": appendUTF8, "utf-8": appendUTF8, "utf8": appendUTF8, "ascii": appendUTF8, "us-ascii": appendUTF8,
	"nop": appendRaw, "utf-8-raw": appendRaw, "utf8-raw": appendRaw,
	"utf-16": appendUTF16(binary.LittleEndian), "utf16": appendUTF16(binary.LittleEndian), "utf-16le": appendUTF16(binary.LittleEndian), "utf-16be": appendUTF16(binary.BigEndian),
	"iso-8859-1": appendLatin1, "iso_8859-1": appendLatin1, "latin1": appendLatin1, "l1": appendLatin1,
	"windows-1252": appendWindows1252,
}

// Decoder returns what converts from the encoding of a name.
func Decoder(name string) (Append, error) {
	if a := names[strings.ToLower(name)]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("unknown encoding %q, expected base64, base64-raw, base64-url, base64-raw-url, utf-8, utf-16, utf-16le, utf-16be, us-ascii, iso-8859-1 or windows-1252", name)
}

func appendRaw(dst, text []byte) ([]byte, error) { return append(dst, text...), nil }

func appendUTF8(dst, text []byte) ([]byte, error) {
	if utf8.Valid(text) {
		return append(dst, text...), nil
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, r)
		text = text[n:]
	}
	return dst, nil
}

func appendUTF16(order binary.ByteOrder) Append {
	return func(dst, text []byte) ([]byte, error) {
		for len(text) >= 2 {
			r := rune(order.Uint16(text))
			text = text[2:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(text) >= 2 {
					low = rune(order.Uint16(text))
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					text = text[2:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
		if len(text) > 0 {
			dst = utf8.AppendRune(dst, utf8.RuneError)
		}
		return dst, nil
	}
}

func appendLatin1(dst, text []byte) ([]byte, error) {
	for _, c := range text {
		dst = utf8.AppendRune(dst, rune(c))
	}
	return dst, nil
}

// windows1252 has the characters 0x80 to 0x9f.
var windows1252 = [32]rune{
	'€', utf8.RuneError, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', utf8.RuneError, 'Ž', utf8.RuneError,
	utf8.RuneError, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', utf8.RuneError, 'ž', 'Ÿ',
}

func appendWindows1252(dst, text []byte) ([]byte, error) {
	for _, c := range text {
		r := rune(c)
		if c >= 0x80 && c < 0xa0 {
			r = windows1252[c-0x80]
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, nil
}
