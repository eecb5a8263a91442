// Package bearertokenauthextension is the authenticator "bearertokenauth":
// clients send a token that is in the configuration or in a file.
//
//	authorization: Bearer s3cret ──► SHA-256 ──► compared with the SHA-256 of every
//	   (header)   (scheme)                       token, all of them, in constant time
//
// The one trap: an empty token would accept requests without a token, so empty
// tokens are never stored.
package bearertokenauthextension
