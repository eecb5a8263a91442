package reporter

import (
	"encoding/hex"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// decodeID reads an id of a trace or span. All zero is none (W3C Trace Context).
func decodeID(id []byte, digits string) bool {
	if len(digits) != 2*len(id) || strings.ToLower(digits) != digits || strings.Trim(digits, "0") == "" {
		return false
	}
	_, err := hex.Decode(id, []byte(digits))
	return err == nil
}

func textLabel(key string, texts []string) libpf.Attribute {
	if len(texts) == 1 {
		return libpf.StringAttr(key, texts[0])
	}
	return libpf.StringsAttr(key, texts...)
}

// numberLabel makes one attribute of the texts and numbers under a key: OTLP has
// each key once.
func numberLabel(key string, texts []string, numbers []int64, units []string) libpf.Attribute {
	a := libpf.IntsAttr(key, numbers...)
	switch {
	case len(texts) > 0:
		a.Value = mixedList(texts, numbers)
	case len(numbers) == 1:
		a = libpf.IntAttr(key, numbers[0])
	}
	return a.In(unitOf(key, numbers, units))
}

func mixedList(texts []string, numbers []int64) string {
	var e wire.Encoder
	array := e.Open(otlpfield.AnyValueArrayValue)
	for _, s := range texts {
		one := e.Open(otlpfield.ArrayValueValues)
		e.String(otlpfield.AnyValueStringValue, strings.ToValidUTF8(s, "\ufffd")) // as libpf does
		e.Close(one)
	}
	for _, n := range numbers {
		one := e.Open(otlpfield.ArrayValueValues)
		e.Varint(otlpfield.AnyValueIntValue, uint64(n))
		e.Close(one)
	}
	e.Close(array)
	return string(e.Buf)
}

// unitOf is the one unit of all numbers of a label, if there is one. That of a 0
// does not count if it is the label's own name: pprof cannot write a bare 0, and
// package pprofconv helps itself this way.
func unitOf(key string, numbers []int64, units []string) string {
	bare := func(i int) string {
		if numbers[i] == 0 && units[i] == key {
			return ""
		}
		return units[i]
	}
	asIs := func(i int) string { return units[i] }
	if len(units) != len(numbers) {
		return ""
	}
	for _, unit := range []func(int) string{bare, asIs} {
		same := true
		for i := range units {
			same = same && unit(i) == unit(0)
		}
		if same && len(units) > 0 {
			return unit(0)
		}
	}
	return ""
}
