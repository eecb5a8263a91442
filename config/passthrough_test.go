package config

import (
	"strings"
	"testing"
)

func TestPassthrough(t *testing.T) {
	for _, mode := range []PassthroughMode{"", PassMatching, PassAny, PassOff} {
		if err := (Passthrough{Mode: mode}).Validate(); err != nil {
			t.Errorf("%q: %v", mode, err)
		}
	}
	err := Passthrough{Mode: "matchin"}.Validate()
	if err == nil || !strings.Contains(err.Error(), `unknown mode "matchin": expected matching, any or off`) {
		t.Errorf("got %v", err)
	}
	if got := DefaultPassthrough(); got != (Passthrough{Mode: PassMatching}) {
		t.Errorf("defaults %+v", got)
	}
}
