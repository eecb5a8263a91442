package load

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/penstock-telemetry/penstock/internal/conf"
)

// Read is what a Load has read.
type Read struct {
	// Files has the paths of the files, also of those that could not be read.
	Files []string
	// Digest is equal for two reads of the same contents.
	Digest string
}

// reading collects a Read.
type reading struct {
	builtIn bool
	files   []string
	hash    hash.Hash
}

func newReading(builtIn bool) *reading { return &reading{builtIn: builtIn, hash: sha256.New()} }

func (r *reading) note(name string, isFile bool, text []byte, err error) {
	if isFile && !r.builtIn {
		r.files = append(r.files, name)
	}
	fmt.Fprintf(r.hash, "%q %q %t;", name, text, err == nil)
}

func (r *reading) done() Read { return Read{r.files, hex.EncodeToString(r.hash.Sum(nil))} }

// contentOf returns the digest of a merged configuration.
func contentOf(root *conf.Node) string {
	h := sha256.New()
	root.WriteCanonical(h)
	return hex.EncodeToString(h.Sum(nil))
}
