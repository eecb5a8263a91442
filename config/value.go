package config

import "iter"

// A Decoder decodes itself from a configuration file. It is for fields that can
// be written in several ways, such as a map or a list; all other types are
// decoded by their yaml tags. Decoding finds Decoder by reflection, so that
// types which implement it need no YAML library.
type Decoder interface {
	DecodeConfig(v Value) error
}

// A Value is one value of a configuration file. Its methods return errors that
// carry the file, line and column.
type Value interface {
	// Kind returns the YAML type of the value.
	Kind() Kind
	// Key returns the map key of the value; empty in a list.
	Key() string
	// Text returns a scalar as it was written; empty for a map or a list.
	Text() string
	// Decode stores the value in the variable that into points to. Fields that
	// the file does not mention keep their values. A Decoder decodes its own
	// fields through a type without methods:
	//
	//	type plain Target
	//	return v.Decode((*plain)(t))
	Decode(into any) error
	// Values yields the entries of a map or the items of a list, in the order in
	// which they were written.
	Values() iter.Seq[Value]
	// Lookup returns the value of a key; nil if there is none.
	Lookup(key string) Value
	// Errorf returns an error with the position of the value, KeyErrorf with
	// that of its key.
	Errorf(format string, args ...any) error
	KeyErrorf(format string, args ...any) error
}

// A Kind is the YAML type of a value.
type Kind uint8

// The kinds. A key without a value is Null.
const (
	Null Kind = iota
	Bool
	Int
	Float
	Timestamp
	String
	List
	Map
)

// String returns the name of the kind in errors.
func (k Kind) String() string {
	return [...]string{"null", "boolean", "integer", "number", "timestamp", "string", "list", "map"}[k]
}

// A Defaulter has defaults that are not its zero value. SetDefaults is called on
// every value that decoding creates: for a pointer, in a list or in a map.
type Defaulter interface {
	SetDefaults()
}

// A Validator checks itself after decoding. Validate is called on the decoded
// value and on every value in it, whether the file mentions it or not, inner
// values first; nil pointers are skipped. Use At to report a problem at one of
// the fields, and errors.Join for several.
type Validator interface {
	Validate() error
}
