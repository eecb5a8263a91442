package strptime

import (
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ format, text, want string }{
		{"%Y-%m-%dT%H:%M:%S", "2024-02-03T04:05:06", "2024-02-03T04:05:06Z"},
		{"%Y-%m-%dT%H:%M:%S.%f%z", "2024-02-03T04:05:06.123456+0100", "2024-02-03T04:05:06.123456+01:00"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-03T04:05:06+01:30", "2024-02-03T04:05:06+01:30"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-03T04:05:06-08", "2024-02-03T04:05:06-08:00"},
		{"%Y-%m-%dT%H:%M:%S%z", "2024-02-03T04:05:06Z", "2024-02-03T04:05:06Z"},
		{"%Y-%m-%d %H:%M:%S", "2024-2-3 4:5:6", "2024-02-03T04:05:06Z"},
		{"%b %d %H:%M:%S", "Feb  3 04:05:06", "2026-02-03T04:05:06Z"},
		{"%b %d %H:%M:%S", "Mar  8 04:05:06", "2026-03-08T04:05:06Z"},
		{"%b %d %H:%M:%S", "Mar  9 04:05:06", "2025-03-09T04:05:06Z"},
		{"%D", "02/03/2024", "2024-02-03T00:00:00Z"},
		{"%D", "2/3/24", "2024-02-03T00:00:00Z"},
		{"%x %X", "02/03/24  4:05:06", "2024-02-03T04:05:06Z"},
		{"%c", "Sat Feb  3 04:05:06 2024", "2024-02-03T04:05:06Z"},
		{"%A, %d-%B-%y %I:%M %p", "Saturday, 03-February-24 04:05 PM", "2024-02-03T16:05:00Z"},
		{"%d/%b/%Y:%H:%M:%S %z", "03/Feb/2024:04:05:06 +0000", "2024-02-03T04:05:06Z"},
		{"%F %T,%L", "2024-02-03 04:05:06,789", "2024-02-03T04:05:06.789Z"},
		{"%F %R %Z", "2024-02-03 04:05 EST", "2024-02-03T04:05:00-05:00"},
		{"100%%", "", "digit"}, {"%Q", "", "unknown directive"}, {"%S%f", "", `expected "." or ","`}, {"", "", "empty"},
		{"%Y", "x", "cannot parse"}, {"%Y-%m", "2024-13", "month out of range"}, {"%F", "2024-02-30", "day out of range"}, {"%Y", "2024x", "extra text"},
		{"%F %R %Z", "2024-02-03 04:05 XYZ", "time zone"},
	} {
		f, err := Compile(c.format)
		var got time.Time
		if err == nil {
			got, err = f.Parse(c.text, time.UTC, now)
		}
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q with %q: %v, want %s", c.text, c.format, err, c.want)
			}
			continue
		}
		if got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%q with %q: %v, want %s", c.text, c.format, got, c.want)
		}
		if again, err := f.Parse(c.text, time.UTC, now); err != nil || !again.Equal(got) {
			t.Errorf("%q with %q again: %v, %v", c.text, c.format, again, err)
		}
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 2, 3, 16, 5, 6, 7008009, time.FixedZone("CET", 3600))
	for format, want := range map[string]string{
		"%Y-%m-%dT%H:%M:%S%z": "2024-02-03T16:05:06+0100", "%y %o %q %e %g %l %I %p %P": "24 _2 2  3 3 4 04 PM pm", "%a %A %b %B": "Sat Saturday Feb February",
		"%S.%L %S.%f %S.%s": "06.007 06.007008 06.007008009", "%Z %w %i %j %k": "CET +010000 +01 +01:00 +01:00:00", "%D %F %T %r %R %c": "02/03/2024 2024-02-03 16:05:06 04:05:06 pm 16:05 Sat Feb 03 16:05:06 2024", "a%%b%n%t": "a%b\n\t",
	} {
		f, err := Compile(format)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append([]byte(">"), at)); got != ">"+want {
			t.Errorf("%q: %q, want %q", format, got, want)
		}
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	if l, err := Location("", "%SZ"); err != nil || l != time.UTC {
		t.Error(l, err)
	}
	if l, err := Location("", "%S"); err != nil || l != time.Local {
		t.Error(l, err)
	}
	if l, err := Location("America/New_York", "%SZ"); err != nil || l.String() != "America/New_York" {
		t.Error(l, err)
	}
	if _, err := Location("Mars", ""); err == nil {
		t.Error("an unknown location")
	}
}

// FuzzParse checks that what a format writes is parsed to the same time.
func FuzzParse(f *testing.F) {
	f.Add("%Y-%m-%dT%H:%M:%S.%s%z", "2024-02-03T04:05:06.7+0100", int64(1700000000123456789))
	f.Add("%c %D %x%r", "Sat Feb", int64(-1))
	f.Fuzz(func(t *testing.T, format, text string, nanos int64) {
		if len(format) > 60 || len(text) > 200 {
			return
		}
		c, err := Compile(format)
		if err != nil {
			return
		}
		_, _ = c.Parse(text, time.UTC, now)
		at := time.Unix(0, nanos).UTC()
		if !strings.HasPrefix(format, "%Y-%m-%dT%H:%M:%S.%s%z") || strings.Count(format, "%") != 8 {
			return
		}
		got, err := c.Parse(string(c.Append(nil, at)), time.UTC, now)
		if err != nil || !got.Equal(at) {
			t.Fatalf("%q: %v becomes %v, %v", format, at, got, err)
		}
	})
}
