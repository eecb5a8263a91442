package libpf

import (
	"encoding/base64"
	"fmt"
	"math"
)

// FileID identifies an executable or a source file by its contents. Its text
// forms, and where they differ from those known so far, are those of Hash128.
type FileID struct{ Hash128 }

// Ids that stand for no file. They are not to be changed.
var (
	// UnsymbolizedFileID is the file of frames that could not be symbolized.
	UnsymbolizedFileID = NewFileID(math.MaxUint64, math.MaxUint64)
	// UnknownKernelFileID is the file of kernel frames whose image is unknown.
	UnknownKernelFileID = NewFileID(math.MaxUint64-2, math.MaxUint64-2)
)

// NewFileID returns the id with these halves.
func NewFileID(hi, lo uint64) FileID { return FileID{Hash128{hi, lo}} }

// FileIDFromBytes reads 16 bytes. nil, an absent field of a message, is the zero
// id; an empty slice that is not nil is an error.
func FileIDFromBytes(b []byte) (FileID, error) {
	if b == nil {
		return FileID{}, nil
	}
	h, err := hash128FromBytes(b)
	if err != nil {
		return FileID{}, fmt.Errorf("file id from bytes: %w", err)
	}
	return FileID{h}, nil
}

// FileIDFromString reads 32 hexadecimal digits of either case. It skips 0x
// before them and the dashes of an UUID, wherever they are.
func FileIDFromString(s string) (FileID, error) {
	h, err := hash128FromString(s)
	if err != nil {
		return FileID{}, fmt.Errorf("file id %s: %w", quoteShort(s), err)
	}
	return FileID{h}, nil
}

// FileIDFromBase64 reads base64 without padding, of the URL alphabet (- and _)
// or else of the standard one (+ and /): there are stores that keep the one and
// answer with the other.
func FileIDFromBase64(s string) (FileID, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		// Where both fail, the URL alphabet's complaint is the one to give: that
		// is the form that Base64 writes.
		var other error
		if b, other = base64.RawStdEncoding.DecodeString(s); other != nil {
			return FileID{}, fmt.Errorf("file id %s: expected base64 without padding: %w", quoteShort(s), err)
		}
	}
	h, err := hash128FromBytes(b)
	if err == nil && len(s) != h.EncodedLen() { // the decoder skips line ends
		err = fmt.Errorf("expected %d characters, found %d", h.EncodedLen(), len(s))
	}
	if err != nil {
		return FileID{}, fmt.Errorf("file id %s in base64: %w", quoteShort(s), err)
	}
	return FileID{h}, nil
}

// Hash32 returns 32 bits of the id, as a key for caches.
func (f FileID) Hash32() uint32 { return uint32(f.hi) }

// Equal says whether both are the same.
func (f FileID) Equal(other FileID) bool { return f == other }

// Less says whether f comes before other.
func (f FileID) Less(other FileID) bool { return f.Hash128.Less(other.Hash128) }

// Compare returns -1, 0 or +1, as Hash128.Compare does.
func (f FileID) Compare(other FileID) int { return f.Hash128.Compare(other.Hash128) }
