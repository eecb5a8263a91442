// Package detect has the detectors of the resource detection processor: each reads what one
// platform says about the machine, container or function that this process runs on.
//
// A detector sets attributes of a Resource. If the process does not run on its platform, it
// returns a *NotHereError. Detectors read the environment, files and metadata services only
// through a Host, so that tests replace them.
package detect

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
)

// SchemaURL is the version of the semantic conventions that the names of the attributes
// come from.
const SchemaURL = "https://opentelemetry.io/schemas/1.40.0"

// A Detector is one entry of the list "detectors".
type Detector struct {
	Name string
	// Section is the key of its settings; empty if it has none.
	Section string
	// Attributes are those that resource_attributes can switch.
	Attributes []Attribute
	// Detect sets the attributes of r; nil: the detector is known and finds nothing.
	Detect func(ctx context.Context, h *Host, o Options, r *Resource) error
	// Required says that an error is one of the processor, also without
	// fail_on_missing_metadata.
	Required bool
	// Unversioned says that the names of the attributes are not those of SchemaURL.
	Unversioned bool
}

// An Attribute is one that a detector sets.
type Attribute struct {
	Key string
	// On says that it is set by default.
	On bool
}

// Options are the settings of a detector.
type Options struct {
	// Wanted reports whether an attribute is enabled.
	Wanted func(key string) bool
	Log    *slog.Logger

	HostnameSources []string         // system
	Tags            []*regexp.Regexp // keys of tags and labels of an instance
	TagsFromIMDS    bool             // ec2
	NodeVariable    string           // the environment variable with the name of the Kubernetes node
}

// wantsAny reports whether one of the attributes is enabled.
func (o Options) wantsAny(keys ...string) bool { return slices.ContainsFunc(keys, o.Wanted) }

// matches reports whether the key of a tag is to be an attribute.
func (o Options) matches(key string) bool {
	return slices.ContainsFunc(o.Tags, func(re *regexp.Regexp) bool { return re.MatchString(key) })
}

// A NotHereError says that the process does not run on the platform of a detector, or that
// the platform does not give its metadata.
type NotHereError struct{ Err error }

func (e *NotHereError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *NotHereError) Unwrap() error { return e.Err }

// notHere returns a NotHereError.
func notHere(format string, args ...any) error {
	return &NotHereError{fmt.Errorf(format, args...)}
}

// A PermanentError says that another attempt would have the same result.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *PermanentError) Unwrap() error { return e.Err }

// A Resource is what a detector has found.
type Resource struct {
	Values []Value
	wanted func(key string) bool
}

// A Value is an attribute: V is a string, an int64 or a []string.
type Value struct {
	Key string
	V   any
}

// NewResource returns an empty resource that takes only attributes that are wanted.
func NewResource(wanted func(key string) bool) *Resource { return &Resource{wanted: wanted} }

// Set sets an attribute if it is enabled.
func (r *Resource) Set(key string, v any) {
	if r.wanted(key) {
		r.Add(key, v)
	}
}

// Add sets an attribute that cannot be switched.
func (r *Resource) Add(key string, v any) {
	if i := slices.IndexFunc(r.Values, func(v Value) bool { return v.Key == key }); i >= 0 {
		r.Values[i].V = v
		return
	}
	r.Values = append(r.Values, Value{key, v})
}

// setAll sets attributes, given as keys and values in turns.
func (r *Resource) setAll(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		r.Set(pairs[i], pairs[i+1])
	}
}
