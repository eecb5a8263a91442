// Package pprofconv converts OTLP profiles to pprof profiles.
//
//	ExportProfilesServiceRequest            []Named
//	└─ resource, scope
//	   ├─ Profile  samples/count     ─┐
//	   └─ Profile  cpu/nanoseconds   ─┴─►   Profile with two sample types
//
// An OTLP Profile has one sample type, a pprof profile has several. Profiles of the same
// resource and scope with equal time, duration, period and attributes are combined.
// Their samples with equal stack, attributes and link become one pprof sample.
//
//	in OTLP                           in pprof
//	attributes of a sample            labels; numbers with their unit
//	link                              labels trace_id and span_id
//	timestamps without values         their number
//	values                            their sum
//	pprof.* attributes                the fields of these names
//	build ids of a mapping            the build id: GNU's, Go's, or a hash of the file
//
// Data without an equivalent in pprof is dropped: timestamps, the types of frames, other
// attributes of profiles, mappings and locations. The resource and the scope are
// returned in Named, beside the profile; Merge turns the resource into labels.
//
// pprof cannot encode a label with the number 0 without a unit, or with an empty text: it
// is read as no label. The unit of such a 0 is set to the name of the label, with which
// pprof displays it in any case. An empty text is dropped.
package pprofconv

// Attributes for data without a field in OTLP (semantic conventions, "Pprof"). The two
// of the scope are also read from the Profile, since one scope can have profiles of
// several pprof files.
const (
	AttrComment           = "pprof.profile.comment" // string[]
	AttrDocURL            = "pprof.profile.doc_url"
	AttrDropFrames        = "pprof.profile.drop_frames"
	AttrKeepFrames        = "pprof.profile.keep_frames"
	AttrDefaultSampleType = "pprof.scope.default_sample_type"
	// AttrSampleTypeOrder on a Profile has one number: the position of its sample type
	// in the pprof file. On a scope it has one number for each Profile.
	AttrSampleTypeOrder = "pprof.scope.sample_type_order" // int[]
	AttrIsFolded        = "pprof.location.is_folded"      // bool, like those below
	AttrHasFunctions    = "pprof.mapping.has_functions"
	AttrHasFilenames    = "pprof.mapping.has_filenames"
	AttrHasLineNumbers  = "pprof.mapping.has_line_numbers"
	AttrHasInlineFrames = "pprof.mapping.has_inline_frames"
)

// The labels of a link, in hex digits.
const (
	LabelTraceID = "trace_id"
	LabelSpanID  = "span_id"
)
