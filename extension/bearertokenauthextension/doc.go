// Package bearertokenauthextension is the authenticator "bearertokenauth":
// clients bring a token that the configuration, or a file, knows.
//
//	authorization: Bearer s3cret ──► SHA-256 ──► compared with the SHA-256 of every
//	   (header)   (scheme)                       token, in constant time, to the end
//
// The one trap: an empty token would let everybody in who sends nothing, so
// nothing empty ever becomes a token.
package bearertokenauthextension
