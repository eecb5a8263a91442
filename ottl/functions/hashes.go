package functions

import (
	"crypto/md5"  //nolint:gosec // what users ask for
	"crypto/sha1" //nolint:gosec // what users ask for
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"

	"github.com/google/uuid"
	"github.com/zeebo/xxh3"

	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/internal/murmur3"
)

var (
	md5Sum    = hashFunction("MD5", func(dst, t []byte) []byte { s := md5.Sum(t); return append(dst, s[:]...) })   //nolint:gosec // see above
	sha1Sum   = hashFunction("SHA1", func(dst, t []byte) []byte { s := sha1.Sum(t); return append(dst, s[:]...) }) //nolint:gosec // see above
	sha256Sum = hashFunction("SHA256", func(dst, t []byte) []byte { s := sha256.Sum256(t); return append(dst, s[:]...) })
	sha512Sum = hashFunction("SHA512", func(dst, t []byte) []byte { s := sha512.Sum512(t); return append(dst, s[:]...) })

	murmur3Hash    = hashFunction("Murmur3Hash", func(dst, t []byte) []byte { return binary.LittleEndian.AppendUint32(dst, murmur3.Sum32(t)) })
	murmur3Hash128 = hashFunction("Murmur3Hash128", func(dst, t []byte) []byte {
		h1, h2 := murmur3.Sum128(t)
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, h1), h2)
	})
	xxh3Sum   = hashFunction("XXH3", func(dst, t []byte) []byte { return binary.BigEndian.AppendUint64(dst, xxh3.Hash(t)) })
	xxh128Sum = hashFunction("XXH128", func(dst, t []byte) []byte { s := xxh3.Hash128(t).Bytes(); return append(dst, s[:]...) })
)

// hashFunction returns a converter that writes a hash in hexadecimal digits. sum appends the
// hash to a buffer.
func hashFunction(name string, sum func(dst, text []byte) []byte) ottl.Function {
	return textFunction(name, func(e *env, text []byte) (value, error) {
		s := sum(e.Scratch(sha512.Size), text)
		return ottl.OfText(hex.AppendEncode(e.Scratch(2*len(s)), s)), nil
	})
}

var fnv = textFunction("FNV", func(_ *env, text []byte) (value, error) {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for _, c := range text {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return ottl.OfInt(int64(h)), nil
})

var toHex = valueFunction("Hex", func(e *env, v value) (value, error) {
	b, _, err := e.LikeBytes(v)
	if err != nil {
		return value{}, err
	}
	return ottl.OfText(hex.AppendEncode(e.Scratch(2*len(b)), b)), nil
})

var (
	traceID   = idFunction("TraceID", ottl.KindTraceID, 16)
	spanID    = idFunction("SpanID", ottl.KindSpanID, 8)
	profileID = idFunction("ProfileID", ottl.KindProfileID, 16)
)

// idFunction returns a converter of bytes, or of their hexadecimal digits, to an id.
func idFunction(name string, kind ottl.Kind, size int) ottl.Function {
	return valueFunction(name, func(e *env, v value) (value, error) {
		b, _, err := e.LikeBytes(v)
		if err != nil {
			return value{}, err
		}
		switch len(b) {
		case size:
			return ottl.OfBytes(kind, b), nil
		case 2 * size:
			id, err := hex.AppendDecode(e.Scratch(size), b)
			if err != nil {
				return value{}, errorf("make a %s of %.40q: %w", kind, b, err)
			}
			return ottl.OfBytes(kind, id), nil
		}
		return value{}, errorf("make a %s of %d bytes: expected %d bytes or %d hexadecimal digits", kind, len(b), size, 2*size)
	})
}

var newUUID = uuidFunction("UUID", uuid.NewRandom)

var newUUIDv7 = uuidFunction("UUIDv7", uuid.NewV7)

func uuidFunction(name string, create func() (uuid.UUID, error)) ottl.Function {
	return ottl.Function{Name: name, Convert: func(*ottl.Args) (ottl.Getter, error) {
		return func(*env) (value, error) {
			u, err := create()
			return ottl.OfString(u.String()), err
		}, nil
	}}
}
