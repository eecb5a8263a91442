package functions

import (
	"errors"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/internal/strptime"
)

var (
	year       = timeFunction("Year", func(t time.Time) int64 { return int64(t.Year()) })
	month      = timeFunction("Month", func(t time.Time) int64 { return int64(t.Month()) })
	day        = timeFunction("Day", func(t time.Time) int64 { return int64(t.Day()) })
	weekday    = timeFunction("Weekday", func(t time.Time) int64 { return int64(t.Weekday()) })
	hour       = timeFunction("Hour", func(t time.Time) int64 { return int64(t.Hour()) })
	minute     = timeFunction("Minute", func(t time.Time) int64 { return int64(t.Minute()) })
	second     = timeFunction("Second", func(t time.Time) int64 { return int64(t.Second()) })
	nanosecond = timeFunction("Nanosecond", func(t time.Time) int64 { return int64(t.Nanosecond()) })

	unixSeconds = timeFunction("UnixSeconds", time.Time.Unix)
	unixMilli   = timeFunction("UnixMilli", time.Time.UnixMilli)
	unixMicro   = timeFunction("UnixMicro", time.Time.UnixMicro)
	unixNano    = timeFunction("UnixNano", time.Time.UnixNano)

	hours        = durationFunction("Hours", func(d time.Duration) value { return ottl.OfDouble(d.Hours()) })
	minutes      = durationFunction("Minutes", func(d time.Duration) value { return ottl.OfDouble(d.Minutes()) })
	seconds      = durationFunction("Seconds", func(d time.Duration) value { return ottl.OfDouble(d.Seconds()) })
	milliseconds = durationFunction("Milliseconds", func(d time.Duration) value { return ottl.OfInt(d.Milliseconds()) })
	microseconds = durationFunction("Microseconds", func(d time.Duration) value { return ottl.OfInt(d.Microseconds()) })
	nanoseconds  = durationFunction("Nanoseconds", func(d time.Duration) value { return ottl.OfInt(d.Nanoseconds()) })
)

// timeFunction returns a converter of a time.
func timeFunction(name string, f func(time.Time) int64) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("time"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
		get, err := a.Time(0)
		return func(e *env) (value, error) {
			v, err := get(e)
			if err != nil {
				return value{}, err
			}
			return ottl.OfInt(f(v.Time())), nil
		}, err
	}}
}

// durationFunction returns a converter of a duration.
func durationFunction(name string, f func(time.Duration) value) ottl.Function {
	return ottl.Function{Name: name, Params: ottl.P("duration"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
		get, err := a.Duration(0)
		return func(e *env) (value, error) {
			v, err := get(e)
			if err != nil {
				return value{}, err
			}
			return f(v.Duration()), nil
		}, err
	}}
}

var now = ottl.Function{Name: "Now", Convert: func(*ottl.Args) (ottl.Getter, error) {
	return func(e *env) (value, error) { return ottl.OfTime(e.Now()), nil }, nil
}}

var duration = ottl.Function{Name: "Duration", Params: ottl.P("duration"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	get, err := a.String(0)
	return func(e *env) (value, error) {
		v, err := get(e)
		if err != nil {
			return value{}, err
		}
		d, err := time.ParseDuration(string(v.Bytes()))
		return ottl.OfDuration(d), err
	}, err
}}

var unix = ottl.Function{Name: "Unix", Params: ottl.P("seconds", "nanoseconds?"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	sec, err := a.Int(0)
	if err != nil {
		return nil, err
	}
	nsec := ottl.Getter(func(*env) (value, error) { return ottl.OfInt(0), nil })
	if a.Has(1) {
		nsec, err = a.Int(1)
	}
	return func(e *env) (value, error) {
		s, n, err := both(e, sec, nsec)
		if err != nil {
			return value{}, err
		}
		return ottl.OfTime(time.Unix(s.Int(), n.Int())), nil
	}, err
}}

var truncateTime = ottl.Function{Name: "TruncateTime", Params: ottl.P("time", "duration"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	at, by, err := two(a.Time, a.Duration)
	return func(e *env) (value, error) {
		t, d, err := both(e, at, by)
		if err != nil {
			return value{}, err
		}
		return ottl.OfTime(t.Time().Truncate(d.Duration())), nil
	}, err
}}

// formatArg returns argument i, a format of times.
func formatArg(a *ottl.Args, i int) (*strptime.Format, string, error) {
	text, err := a.LiteralString(i, "")
	if err != nil {
		return nil, "", err
	}
	f, err := strptime.Compile(text)
	if err != nil {
		return nil, "", a.Errorf(i, "%w", err)
	}
	return f, text, nil
}

var formatTime = ottl.Function{Name: "FormatTime", Params: ottl.P("time", "format"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	get, err := a.Time(0)
	if err != nil {
		return nil, err
	}
	f, text, err := formatArg(a, 1)
	return func(e *env) (value, error) {
		v, err := get(e)
		if err != nil {
			return value{}, err
		}
		return ottl.OfText(f.Append(e.Scratch(4*len(text)+32), v.Time())), nil
	}, err
}}

var parseTime = ottl.Function{Name: "Time", Params: ottl.P("time", "format", "location?", "locale?"), Convert: func(a *ottl.Args) (ottl.Getter, error) {
	get, err := a.String(0)
	if err != nil {
		return nil, err
	}
	f, text, err := formatArg(a, 1)
	if err != nil {
		return nil, err
	}
	name, err := a.LiteralString(2, "")
	if err != nil {
		return nil, err
	}
	location, err := strptime.Location(name, text)
	if err != nil {
		return nil, a.Errorf(2, "%w", err)
	}
	locale, err := a.LiteralString(3, "en")
	if err != nil {
		return nil, err
	}
	if language, _, _ := strings.Cut(locale, "-"); language != "en" {
		return nil, a.Errorf(3, "found %q, expected an English locale; others are not supported", locale)
	}
	return func(e *env) (value, error) {
		v, err := get(e)
		if err != nil {
			return value{}, err
		}
		if len(v.Bytes()) == 0 {
			return value{}, errors.New("the text of a time is empty")
		}
		t, err := f.Parse(string(v.Bytes()), location, e.Now())
		return ottl.OfTime(t), err
	}, nil
}}
