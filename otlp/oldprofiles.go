package otlp

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// OlderProfiles returns a message for the client if a profiles request seems to
// be in a format of opentelemetry-proto before v1.10, and "" if not. Before v1.10
// the numbers of fields changed between versions, so that a reader of one version
// takes the fields of another for different ones.
//
// It is meant for requests that Check rejects, and costs about as much as Check.
// Check rejects nearly all older requests, since a field has the wrong wire type.
// It can accept requests of v1.8 and v1.9 whose samples have no attributes: their
// values are read as attributes. OlderProfiles recognizes such a request if it
// has only such samples, without timestamps. With timestamps, and with values
// that happen to be valid indices, it cannot be distinguished from a request in
// the current format.
//
// For a request that Check accepts, the result is "" unless no sample has a value
// or a timestamp, which profiles.proto forbids.
func OlderProfiles(request []byte) string {
	var shape profilesShape
	if !shape.read(request) {
		return ""
	}
	if shape.mismatched() {
		for i := range olderFormats {
			if f := &olderFormats[i]; f.fits(&shape) {
				return f.sentence()
			}
		}
		return ""
	}
	if shape.valuesAsAttributes() {
		return olderFormats[0].sentence()
	}
	return ""
}

// olderFormat is an older format of profiles: the fields that writers of this
// format use, each with its wire type.
type olderFormat struct {
	versions string // of opentelemetry-proto
	mark     string // a field that differs from the current format
	profile  fieldTypes
	sample   fieldTypes
}

// fieldTypes has a letter for the wire type of each field of a message, from field
// 1 on: v for a varint, 8 for eight bytes, b for length-delimited, a space for none.
type fieldTypes string

// olderFormats lists the formats, newest first, without what they have in common
// with the current one: the ResourceProfiles and ScopeProfiles around a profile.
// In v1.3 each profile was in a container, whose field 2 is not the samples.
var olderFormats = [...]olderFormat{
	{"v1.8 or v1.9", "Sample.values in field 2, attribute_indices in field 3",
		"bb8vbvbvbbb", "vbbvb"},
	{"v1.8", "Profile.profile_id in field 8",
		"bb8vbvbbvbbb", "vbbvb"},
	{"v1.6 or v1.7", "Sample.locations_start_index in field 1",
		"bbbvvbvbvbvbbb", "vvbbvb"},
	{"v1.4 or v1.5", "the tables inside each Profile",
		"bbbbbbbbbbvvbvbvbbvbbb", "vvbbvb"},
	{"v1.3 (v1experimental)", "a ProfileContainer around each Profile",
		"b88bvbbb", ""},
}

func (f *olderFormat) sentence() string {
	return fmt.Sprintf("this looks like OTLP profiles of opentelemetry-proto %s (%s); this server supports the format of v1.10 and newer (%s: %s): upgrade the profiler",
		f.versions, f.mark, specs[Profiles].Header, specs[Profiles].HeaderValue)
}

// fits reports whether every field that was seen is a field of f.
func (f *olderFormat) fits(s *profilesShape) bool {
	return f.profile.contain(&s.profile) && f.sample.contain(&s.sample)
}

func (t fieldTypes) contain(seen *seenTypes) bool {
	for num, types := range seen {
		if types != 0 && (num == 0 || num > len(t) || types != typeBit(t[num-1])) {
			return false
		}
	}
	return true
}

func typeBit(c byte) uint8 {
	switch c {
	case 'v':
		return 1 << wire.TypeVarint
	case '8':
		return 1 << wire.TypeFixed64
	case 'b':
		return 1 << wire.TypeBytes
	}
	return 0
}

// seenTypes holds for each field number the set of wire types it was seen with, as
// bits. Numbers that no format has share entry 0.
type seenTypes [24]uint8

// add adds the field that c is at, and reports whether it is valid in the current
// format.
func (s *seenTypes) add(message uint8, c *wire.Cursor) bool {
	num := c.Num
	if num >= uint32(len(s)) {
		num = 0
	}
	s[num] |= 1 << c.Type
	return num == 0 || tables[message][uint8(c.Tag())].op != opBadType
}

// profilesShape describes a request independently of the format.
type profilesShape struct {
	profile, sample     seenTypes
	profiles, samples   int
	badProfile          bool   // a profile has a field that is invalid in the current format
	badSamples          int    // the number of samples that have one
	attributes          uint64 // entries of the attribute table of the current format
	onlyOne, likeValues int    // numbers of samples, see addSample
	outside             bool   // an attribute index of a sample is out of range
}

// read walks a request down to its samples. It returns false if it is not valid
// protobuf.
func (s *profilesShape) read(request []byte) bool {
	s.attributes = tableSizes(request)[otlpfield.ProfilesDictionaryAttributeTable]
	root := wire.Cursor{Buf: request}
	for root.Next() {
		if root.Num != otlpfield.RequestResources || root.Type != wire.TypeBytes {
			continue
		}
		resource := wire.Cursor{Buf: root.Bytes}
		for resource.Next() {
			if resource.Num != otlpfield.ResourceXScopes || resource.Type != wire.TypeBytes {
				continue
			}
			scope := wire.Cursor{Buf: resource.Bytes}
			for scope.Next() {
				if scope.Num == otlpfield.ScopeXItems && scope.Type == wire.TypeBytes && !s.addProfile(scope.Bytes) {
					return false
				}
			}
			if scope.Err != nil {
				return false
			}
		}
		if resource.Err != nil {
			return false
		}
	}
	return root.Err == nil && s.profiles > 0
}

func (s *profilesShape) addProfile(b []byte) bool {
	s.profiles++
	c := wire.Cursor{Buf: b}
	for c.Next() {
		s.badProfile = !s.profile.add(msgProfile, &c) || s.badProfile
		if c.Num == otlpfield.ProfileSamples && c.Type == wire.TypeBytes && !s.addSample(c.Bytes) {
			return false
		}
	}
	return c.Err == nil
}

// addSample adds the fields of a sample. It counts samples that may be of v1.9 and
// without attributes, whose values the current format takes for attributes: with
// one value and no timestamps (onlyOne), or as many timestamps as values or none
// (likeValues).
func (s *profilesShape) addSample(b []byte) bool {
	const attributes, timestamps = otlpfield.SampleAttributeIndices, otlpfield.SampleTimestampsUnixNano
	s.samples++
	bad, first, times, others := 0, 0, 0, 0
	c := wire.Cursor{Buf: b}
	for c.Next() {
		if !s.sample.add(msgSample, &c) {
			bad = 1
		}
		switch {
		case c.Num == attributes && c.Type == wire.TypeBytes:
			for v := range (Varints[uint64]{region{b[c.Start:c.End], attributes}}).All() {
				first++
				s.outside = s.outside || v >= max(s.attributes, 1)
			}
		case c.Num == timestamps && c.Type == wire.TypeBytes:
			times += len(c.Bytes) / 8
		case c.Num != 1:
			others++
		}
	}
	s.badSamples += bad
	if first == 1 && times == 0 && others == 0 {
		s.onlyOne++
	}
	if first > 0 && (times == 0 || times == first) && others == 0 {
		s.likeValues++
	}
	return c.Err == nil
}

// mismatched reports whether a profile, or at least half of the samples, has a
// field that is invalid in the current format. If fewer samples have one, the
// request more likely is a damaged one in the current format.
func (s *profilesShape) mismatched() bool {
	return s.badProfile || s.badSamples > 0 && 2*s.badSamples >= s.samples
}

// valuesAsAttributes reports whether all samples may be of v1.9 and are invalid in
// the current format: none has a value or a timestamp, or an attribute index is
// out of range.
func (s *profilesShape) valuesAsAttributes() bool {
	return s.samples > 0 && (s.onlyOne == s.samples || s.outside && s.likeValues == s.samples)
}
