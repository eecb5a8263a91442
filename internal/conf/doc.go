// Package conf reads configuration: the OpenTelemetry Collector's YAML, with its
// merging and ${...} rules, and errors with positions.
//
//	sources ──parse──► trees ──merge──► one tree ──expand──► Tree ──Decode──► structs
//	 file:, env:,       Node             --set wins last      ${env:X}, $$     defaults kept,
//	 yaml:, --set                                                              unknown keys refused
//
// Every [Node] keeps its position in the source through all of these steps, so a
// problem is reported as
//
//	penstock.yaml:12:5: service.pipelines.traces.exporter: unknown key, did you mean "exporters"? (known: exporters, processors, receivers)
//
// and all problems of a step are reported, not only the first.
//
//	tree, err := conf.Load(conf.Options{Sources: []string{"penstock.yaml"}, Set: []string{"exporters.otlp.timeout=2s"}})
//	if err != nil {
//		return err // a conf.Errors, one line each, in source order
//	}
//	var problems conf.Errors
//	for _, n := range tree.Root().Get("exporters").Children() { // in source order; a nil Node has no children
//		cfg := otlpexporter.DefaultConfig()
//		switch n.Key() {
//		case "otlp":
//			problems.Add(n.Decode(&cfg)) // keys the YAML does not mention keep their defaults
//		default:
//			problems.Add(n.Errorf("unknown exporter%s", suggest.Known(n.Key(), []string{"debug", "otlp"})))
//		}
//	}
//	return problems.Err()
//
// The files of the package follow the picture: source.go, parse.go (with syntax.go for its
// errors), merge.go, expand.go, node.go, decode.go (with scalar.go), validate.go. marshal.go
// writes a tree or a struct as YAML, errors.go is about positions. confmap_test.go compares the
// rules with the recorded behaviour of the Collector, and lists the differences with their
// reasons.
//
// The one trap: a method promoted from an embedded struct is a method of the outer one. An
// embedded type with DecodeConfig or UnmarshalText takes over the decoding of the whole
// outer struct. Make such a type a named field with the tag `yaml:",inline"`, which uses
// only its fields and none of its decoding methods.
package conf
