package redactionprocessor

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"regexp"

	"github.com/penstock-telemetry/penstock/config"
)

// rules are a configuration made ready.
type rules struct {
	allowAll, allTypes          bool
	allowed, ignored            map[string]bool
	ignoredKeys, blockedKeys    patterns
	allowedValues, blockedValue patterns
	mask                        func(match []byte) []byte
	maskBytes                   int // at most
	summary                     summary
}

type patterns []*regexp.Regexp

func (p patterns) match(text []byte) bool {
	for _, re := range p {
		if re.Match(text) {
			return true
		}
	}
	return false
}

func compile(list []string) (p patterns, err error) {
	for _, text := range list {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, err
		}
		p = append(p, re)
	}
	return p, nil
}

// summary is which attributes say what was changed.
type summary uint8

const (
	silent summary = iota
	info           // how many
	debug          // also which
)

var summaries = map[string]summary{"info": info, "debug": debug}

func newRules(c *Config) (*rules, error) {
	if err := errors.Join(c.Validate(), config.At("url_sanitizer", c.URLSanitizer.Validate()), c.DBSanitizer.validate()); err != nil {
		return nil, err
	}
	r := &rules{
		allowAll: c.AllowAllKeys, allTypes: c.RedactAllTypes, allowed: map[string]bool{}, ignored: map[string]bool{},
		summary: summaries[c.Summary], maskBytes: len(stars),
		mask: func([]byte) []byte { return stars },
	}
	for _, key := range c.AllowedKeys {
		r.allowed[key] = true
	}
	// Attributes of a summary that came in. The Collector has forgotten the others.
	for _, key := range []string{"redaction.redacted.keys", "redaction.redacted.count", "redaction.masked.keys", "redaction.masked.count", "redaction.ignored.count"} {
		r.allowed[key] = true
	}
	for _, key := range c.IgnoredKeys {
		r.ignored[key] = true
	}
	if h, ok := hashes[c.HashFunction]; ok {
		key := []byte(string(c.HMACKey))
		r.maskBytes = 2 * h.new(key).Size()
		r.mask = func(match []byte) []byte {
			sum := h.new(key)
			sum.Write(match)
			return hex.AppendEncode(nil, sum.Sum(nil))
		}
	}
	var err error
	for _, list := range []struct {
		to   *patterns
		from []string
	}{{&r.ignoredKeys, c.IgnoredKeyPatterns}, {&r.blockedKeys, c.BlockedKeyPatterns}, {&r.allowedValues, c.AllowedValues}, {&r.blockedValue, c.BlockedValues}} {
		if *list.to, err = compile(list.from); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var stars = []byte("****")

// whole matches a line: values of blocked keys are masked line by line.
var whole = regexp.MustCompile(".*")

var hashes = map[HashFunction]struct {
	new         func(key []byte) hash.Hash
	minKeyBytes int
}{
	"sha1":        {func([]byte) hash.Hash { return sha1.New() }, 0},
	"md5":         {func([]byte) hash.Hash { return md5.New() }, 0},
	"sha3":        {func([]byte) hash.Hash { return sha3.New256() }, 0},
	"hmac-sha256": {func(key []byte) hash.Hash { return hmac.New(sha256.New, key) }, 32},
	"hmac-sha512": {func(key []byte) hash.Hash { return hmac.New(sha512.New, key) }, 64},
}

// fate is what becomes of an attribute by its key.
type fate uint8

const (
	open    fate = iota // its value decides
	ignore              // it stays
	remove              // it is removed
	blocked             // its value is masked
)

func (r *rules) fate(key []byte) fate {
	switch {
	case r.ignored[string(key)] || r.ignoredKeys.match(key):
		return ignore
	case !r.allowAll && !r.allowed[string(key)]:
		return remove
	case r.blockedKeys.match(key):
		return blocked
	}
	return open
}
