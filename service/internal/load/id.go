package load

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// maxNameRunes is the Collector's limit on what follows the slash of an id.
const maxNameRunes = 1024

// splitID splits "type/name" and checks the name by the Collector's rules: no
// spaces, control characters or symbols. The caller checks the type.
func splitID(id string) (typ, name string, err error) {
	typ, name, named := strings.Cut(id, "/")
	switch {
	case typ == "":
		return "", "", errors.New(`expected an id such as "otlp" or "otlp/2", found no type`)
	case named && name == "":
		return "", "", fmt.Errorf("expected a name after the slash, as in %s/2", typ)
	case utf8.RuneCountInString(name) > maxNameRunes:
		return "", "", fmt.Errorf("expected at most %d characters after the slash", maxNameRunes)
	case named && !regexp.MustCompile(`^[^\pZ\pC\pS]+$`).MatchString(name):
		return "", "", fmt.Errorf("expected a name without spaces and symbols after the slash, found %q", name)
	}
	return typ, name, nil
}

// parsePipelineID returns the signal of a pipeline's id, "traces" or
// "traces/front".
func parsePipelineID(id string) (otlp.Signal, error) {
	typ, _, err := splitID(id)
	if err != nil {
		return 0, err
	}
	s, ok := otlp.SignalByName(typ)
	if !ok {
		return 0, fmt.Errorf("unknown signal %q%s", typ, suggest.Known(typ, signalNames()))
	}
	return s, nil
}

func signalNames() []string {
	var names []string
	for _, s := range otlp.Signals() {
		names = append(names, s.String())
	}
	return names
}
