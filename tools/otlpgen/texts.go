package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// textsFile holds the comments: for each message, enum and field a line of a
// name, a tab and a text. Lines that are empty or begin with # are skipped.
//
//go:embed texts.txt
var textsFile []byte

// texts maps a name of texts.txt to its text. use deletes the entry, so that
// what is left has no name in the model.
type texts map[string]string

func readTexts(file []byte) (texts, error) {
	t := texts{}
	lines := bufio.NewScanner(bytes.NewReader(file))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, text, ok := strings.Cut(line, "\t")
		text = strings.TrimSpace(text)
		switch {
		case !ok || text == "":
			return nil, fmt.Errorf("texts.txt:%d: expected a name, a tab and a text", n)
		case t[name] != "":
			return nil, fmt.Errorf("texts.txt:%d: %s has a text already", n, name)
		}
		t[name] = text
	}
	return t, lines.Err()
}

// use returns the text of name and removes it from t.
func (t texts) use(name string) (string, error) {
	text, ok := t[name]
	if !ok {
		return "", fmt.Errorf("texts.txt has no text for %s", name)
	}
	delete(t, name)
	return text, nil
}

// apply sets the texts of the model. Every message and enum must have one, and
// every field of a request; no text may be left over.
func (t texts) apply(j *jsonModel) (err error) {
	for _, m := range j.All {
		if m.Text, err = t.use(m.Name); err != nil {
			return err
		}
		if slices.Contains(j.Responses, m) {
			continue
		}
		for _, f := range m.Fields {
			if f.Text, err = t.use(m.Name + "." + f.Proto); err != nil {
				return err
			}
		}
	}
	for _, e := range j.Enums {
		if e.Text, err = t.use(e.Name); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		return fmt.Errorf("texts.txt has a text for %s, which OTLP does not have", name)
	}
	return nil
}
