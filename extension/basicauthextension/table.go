package basicauthextension

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tg123/go-htpasswd"
	"golang.org/x/crypto/bcrypt"
)

// These keep a single comparison below some seconds of CPU.
const (
	maxBcryptCost  = 16 // 2^16 rounds
	maxCryptRounds = 1_000_000
)

// digest is the keyed hash of a user and a password.
type digest [sha256.Size]byte

// A table is who may come in, and what was found out about passwords since it
// was read. users does not change.
type table struct {
	users map[string]*user
	// unknown is compared with when there is no such user: the costliest of users.
	unknown *user
	plain    int // users whose password stands there as it is
	// refused remembers wrong passwords, by their first byte. A misconfigured
	// client sends the same one for days.
	refused [256]atomic.Pointer[digest]
}

type user struct {
	hash     htpasswd.EncodedPasswd
	cost     int
	verified atomic.Pointer[digest] // of the one password that is right, once it has come
}

// holds compares in constant time.
func holds(p *atomic.Pointer[digest], d *digest) bool {
	known := p.Load()
	return known != nil && subtle.ConstantTimeCompare(known[:], d[:]) == 1
}

// recall says what is remembered of a user and a password.
func (t *table) recall(u *user, known bool, d *digest) (answered bool, err error) {
	switch {
	case known && holds(&u.verified, d):
		return true, nil
	case holds(&t.refused[d[0]], d):
		return true, errInvalid
	}
	return false, nil
}

// parse reads htpasswd lines of a file and then inline ones. Its errors name
// lines, and repeat none.
func parse(file, inline []byte) (*table, error) {
	t := &table{users: map[string]*user{}}
	if err := t.add(file); err != nil {
		return nil, err
	}
	if err := t.add(inline); err != nil {
		return nil, err
	}
	for _, u := range t.users {
		if t.unknown == nil || u.cost > t.unknown.cost {
			t.unknown = u
		}
		if u.cost == costPlain {
			t.plain++
		}
	}
	return t, nil
}

func (t *table) add(text []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, encoded, _ := strings.Cut(line, ":")
		name, encoded = strings.TrimSpace(name), strings.TrimSpace(encoded)
		if name == "" || encoded == "" {
			return fmt.Errorf("htpasswd line %d: expected user:hash", n)
		}
		u, err := newUser(encoded)
		if err != nil {
			return fmt.Errorf("htpasswd line %d: user %q: %w", n, name, err)
		}
		t.users[name] = u
	}
	if lines.Err() != nil {
		return errors.New("htpasswd: a line is longer than 64 KiB")
	}
	return nil
}

// What one comparison costs, as a rank. A bcrypt cost is below 32.
const (
	costPlain = iota
	costHash
	costMD5
	costCrypt
	costBcrypt
)

// newUser reads the part behind the colon. What the library finds is not
// repeated: its errors hold the hash.
func newUser(encoded string) (*user, error) {
	for _, system := range []struct {
		what  string
		parse htpasswd.PasswdParser
		check func(encoded string) (cost int, err error)
	}{
		{"bcrypt", htpasswd.AcceptBcrypt, checkBcrypt},
		{"crypt", htpasswd.AcceptCryptSha, checkCrypt},
		{"MD5", htpasswd.AcceptMd5, fixed(costMD5)},
		{"SSHA", htpasswd.AcceptSsha, fixed(costHash)},
		{"SHA", htpasswd.AcceptSha, fixed(costHash)},
		{"plain", htpasswd.AcceptPlain, checkPlain},
	} {
		hash, err := system.parse(encoded)
		if hash == nil && err == nil {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("malformed %s hash", system.what)
		}
		cost, err := system.check(encoded)
		if err != nil {
			return nil, err
		}
		return &user{hash: hash, cost: cost}, nil
	}
	return nil, errUnknownHash
}

var errUnknownHash = errors.New("a hash of a kind that is not known (a password that starts with $ or { is written {PLAIN}password)")

// checkPlain sees to it that a hash of another kind is not taken for a password,
// which would accept anyone who has read the hash.
func checkPlain(encoded string) (int, error) {
	if strings.HasPrefix(encoded, "{PLAIN}") || encoded[0] != '$' && encoded[0] != '{' {
		return costPlain, nil
	}
	return 0, errUnknownHash
}

func fixed(cost int) func(string) (int, error) {
	return func(string) (int, error) { return cost, nil }
}

// bcryptBytes is the length of a whole hash: what is shorter was cut off.
const bcryptBytes = 60

func checkBcrypt(encoded string) (int, error) {
	cost, err := bcrypt.Cost([]byte(encoded))
	switch {
	case err != nil || len(encoded) != bcryptBytes:
		return 0, errors.New("malformed bcrypt hash")
	case cost > maxBcryptCost:
		return 0, fmt.Errorf("expected a bcrypt cost of at most %d, found %d", maxBcryptCost, cost)
	}
	return costBcrypt + cost, nil
}

// checkCrypt reads $5$[rounds=N$]salt$hash and $6$…. The library would panic on
// rounds that are no number.
func checkCrypt(encoded string) (int, error) {
	parts := strings.Split(encoded, "$")[2:]
	if len(parts) == 3 {
		text, ok := strings.CutPrefix(parts[0], "rounds=")
		rounds, err := strconv.Atoi(text)
		if !ok || err != nil || rounds < 1000 || rounds > maxCryptRounds {
			return 0, fmt.Errorf("expected crypt rounds from 1000 to %d", maxCryptRounds)
		}
		parts = parts[1:]
	}
	const sha256Text, sha512Text = 43, 86 // characters of a whole hash
	if len(parts) != 2 || parts[0] == "" || len(parts[1]) != sha256Text && len(parts[1]) != sha512Text {
		return 0, errors.New("malformed crypt hash")
	}
	return costCrypt, nil
}
