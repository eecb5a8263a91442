// Package otlpedit changes OTLP requests of any signal without decoding them:
// some messages are replaced or left out, all other bytes are copied as they are,
// unknown fields included, and the lengths of the messages around a
// change are corrected.
//
//	ExportXServiceRequest     copied except for the lengths
//	├─ ResourceX              its length is rewritten if something in it changes
//	│  ├─ Resource            given to the editors of level Resources
//	│  └─ ScopeX              its length is rewritten if something in it changes
//	│     ├─ Scope            given to the editors of level Scopes
//	│     └─ item*            given to the editors of level Items:
//	│                         Span, Metric, LogRecord, Profile
//	└─ dictionary, …          copied
//
// A Plan says on which of the three levels a processor works, and makes its
// Editors. An Editor is given one message after the other and says of each
// whether it stays, goes, or what replaces it. A Pass applies the editors of one
// or several plans to a request, from its beginning to its end, and makes one
// copy of it at most:
//
//	for each resource   plan 1, plan 2, …     each on what the one before left
//	  for each scope      plan 1, plan 2, …
//	    for each item       plan 1, plan 2, …
//
// The result is the same to the byte as that of one pass for each plan, as long
// as the plans are Fusable. Nothing is allocated for each message, unless an
// Editor does. Levels that no plan edits are not looked into.
//
// The one trap: the messages given to an Editor, and all that Pass returns, point
// into the request or into memory that is used again. Keep copies.
package otlpedit
