package credential

import (
	"errors"
	"strings"
	"testing"
)

func TestValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		values []string
		want   string
		err    error
	}{
		{"none", nil, "", ErrMissing},
		{"empty", []string{""}, "", ErrMissing},
		{"spaces only", []string{" \t "}, "", ErrMissing},
		{"once", []string{"Bearer x"}, "Bearer x", nil},
		{"spaces around", []string{"\t Bearer x \t"}, "Bearer x", nil},
		{"the same twice", []string{"Bearer x", "Bearer x"}, "", ErrRepeated},
		{"a second that is empty", []string{"Bearer x", ""}, "", ErrRepeated},
		{"maximum length", []string{strings.Repeat("x", MaxBytes)}, strings.Repeat("x", MaxBytes), nil},
		{"too long", []string{strings.Repeat("x", MaxBytes+1)}, "", ErrTooLong},
		{"too long with spaces", []string{"x" + strings.Repeat(" ", MaxBytes)}, "", ErrTooLong},
	} {
		asked := ""
		got, err := Value(func(name string) []string { asked = name; return c.values }, "x-key")
		if got != c.want || !errors.Is(err, c.err) || asked != "x-key" {
			t.Errorf("%s: %q, %v of %q; want %q, %v", c.name, got, err, asked, c.want, c.err)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, scheme, want string
		ok                  bool
	}{
		{"Bearer x", "Bearer", "x", true},
		{"bEARER x", "Bearer", "x", true},
		{"Bearer   x y", "Bearer", "x y", true},
		{"Bearer", "Bearer", "", false},
		{"Bearer ", "Bearer", "", false},
		{"Bearerx", "Bearer", "", false},
		{"Bearer\tx", "Bearer", "", false},
		{"Basic x", "Bearer", "", false},
		{"", "Bearer", "", false},
		{"x y", "", "x y", true},
	} {
		if got, ok := Split(c.value, c.scheme); got != c.want || ok != c.ok {
			t.Errorf("Split(%q, %q) = %q, %v; want %q, %v", c.value, c.scheme, got, ok, c.want, c.ok)
		}
	}
}
