package match

import (
	"errors"

	"github.com/penstock-telemetry/penstock/config"
)

// Texts is a set of texts or patterns. The nil set matches all texts.
type Texts struct {
	strict   map[string]bool
	patterns []pattern
}

// CompileTexts makes a set of the texts or patterns that a configuration has under a key.
// It returns nil for none.
func CompileTexts(key, matchType string, list []string) (*Texts, error) {
	if len(list) == 0 {
		return nil, nil
	}
	t := &Texts{}
	switch matchType {
	case "strict":
		t.strict = map[string]bool{}
		for _, text := range list {
			t.strict[text] = true
		}
		return t, nil
	case "regexp":
		var errs []error
		for _, text := range list {
			p, err := compilePattern(text)
			t.patterns, errs = append(t.patterns, p), append(errs, config.At(key, err))
		}
		return t, errors.Join(errs...)
	}
	return nil, config.Atf("match_type", "expected strict or regexp, found %q", matchType)
}

// Match reports whether text is in the set, or a part of it matches a pattern.
func (t *Texts) Match(text []byte) bool {
	if t == nil || t.strict[string(text)] {
		return true
	}
	for i := range t.patterns {
		if t.patterns[i].match(text) {
			return true
		}
	}
	return false
}
