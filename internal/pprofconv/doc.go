// Package pprofconv makes pprof profiles of OTLP profiles.
//
//	ExportProfilesServiceRequest            []Named
//	└─ resource, scope
//	   ├─ Profile  samples/count     ─┐
//	   └─ Profile  cpu/nanoseconds   ─┴─►   Profile with two sample types
//
// An OTLP Profile has one sample type, a pprof profile has several. Profiles of
// one resource and scope that agree in time, duration, period and attributes
// become one again, and their samples, by stack, attributes and link, its rows.
//
//	in OTLP                           in pprof
//	attributes of a sample            labels; numbers with their unit
//	link                              labels trace_id and span_id
//	timestamps without values         their number
//	values                            their sum
//	pprof.* attributes                the fields that they are named after
//	build ids of a mapping            the build id: GNU's, Go's, or a hash of the file
//
// What pprof has no room for is left out: timestamps, the types of frames, other
// attributes of profiles, mappings and locations. The resource and the scope are
// beside the profile, in Named; Merge makes labels of the resource.
//
// The one trap: pprof cannot write the number 0 without a unit in a label (it
// reads as no label), nor an empty text. Such a 0 gets the label's own name for a
// unit, which is what pprof shows it with anyway; an empty text is left out.
package pprofconv

// Attributes that hold what OTLP has no field for (semantic conventions, "Pprof").
// The two of the scope are read from the Profile as well: one scope may hold
// profiles of several pprof files.
const (
	AttrComment           = "pprof.profile.comment" // string[]
	AttrDocURL            = "pprof.profile.doc_url"
	AttrDropFrames        = "pprof.profile.drop_frames"
	AttrKeepFrames        = "pprof.profile.keep_frames"
	AttrDefaultSampleType = "pprof.scope.default_sample_type"
	// AttrSampleTypeOrder, on a Profile, holds one number: the place of its sample
	// type in the pprof file. On a scope it holds one for each Profile.
	AttrSampleTypeOrder = "pprof.scope.sample_type_order" // int[]
	AttrIsFolded        = "pprof.location.is_folded"      // bool, as those below
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
