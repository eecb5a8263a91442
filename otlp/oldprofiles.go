package otlp

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// OlderProfiles returns a sentence for the client if a profiles request looks as
// if it was written in a format of opentelemetry-proto before v1.10, and "" if
// not. Until then fields moved freely: profiles of one version are not garbage
// to another, but numbers in the wrong places.
//
// It is meant for requests that Check refused, and costs about as much as Check.
// Nearly all older requests are refused, since a field has a wire type that it
// cannot have today. Those of v1.8 and v1.9 whose samples have no attributes can
// pass: their values read as attributes. If nothing but such samples is in a
// request, without timestamps, it is told too; with timestamps and with values
// that are indices by chance it cannot be told from a request of today.
//
// It never speaks of a request that passed Check, but for one that has no sample
// with a value or a timestamp, which profiles.proto forbids.
func OlderProfiles(request []byte) string {
	var shape profilesShape
	if !shape.look(request) {
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

// olderFormat is one way in which profiles were written. Its fields are those
// that its writers wrote, each with the one wire type that they wrote it with.
type olderFormat struct {
	versions string // of opentelemetry-proto
	mark     string // a field that tells it from today's format
	profile  fieldTypes
	sample   fieldTypes
}

// fieldTypes spells the wire types of a message's fields, field 1 first: v for
// a varint, 8 for eight bytes, b for length-delimited, a blank for none.
type fieldTypes string

// olderFormats lists the formats, newest first. What they have in common with
// that of today is left out: the ResourceProfiles and ScopeProfiles around a
// profile. In v1.3 a profile was in a container of its own, whose field 2 is not
// the samples.
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

// fits says whether every field that was seen is one of f's.
func (f *olderFormat) fits(s *profilesShape) bool {
	return f.profile.hold(&s.profile) && f.sample.hold(&s.sample)
}

func (t fieldTypes) hold(seen *seenTypes) bool {
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

// seenTypes holds for each field number the wire types it was seen with, as a
// bit each. Numbers that no format has share entry 0.
type seenTypes [24]uint8

// add notes the field c is on, and says whether a message of today can have it.
func (s *seenTypes) add(message uint8, c *wire.Cursor) bool {
	num := c.Num
	if num >= uint32(len(s)) {
		num = 0
	}
	s[num] |= 1 << c.Type
	return num == 0 || tables[message][uint8(c.Tag())].op != opBadType
}

// profilesShape is what a request looks like to one who does not know which
// format it is in.
type profilesShape struct {
	profile, sample     seenTypes
	profiles, samples   int
	badProfile          bool   // one has a field that today's format cannot have
	badSamples          int    // so many have
	attributes          uint64 // entries of today's attribute table
	onlyOne, likeValues int    // samples, see sampleFields
	outside             bool   // a sample's attribute is outside the table
}

// look walks a request down to its samples. It returns false if that is no
// protobuf.
func (s *profilesShape) look(request []byte) bool {
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

// addSample notes the fields of a sample, and whether it is what a sample of
// v1.9 looks like today if it has no attributes: its values are attributes, and
// there are either no timestamps and one value, or as many of both.
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

// mismatched says whether a profile or at least half of the samples have a field
// that today's format cannot have. Fewer samples more likely are today's, broken.
func (s *profilesShape) mismatched() bool {
	return s.badProfile || s.badSamples > 0 && 2*s.badSamples >= s.samples
}

// valuesAsAttributes says whether all samples look like those of v1.9, and, as
// samples of today, would break a rule: none has a value or a timestamp, or
// attributes are not in their table.
func (s *profilesShape) valuesAsAttributes() bool {
	return s.samples > 0 && (s.onlyOne == s.samples || s.outside && s.likeValues == s.samples)
}
