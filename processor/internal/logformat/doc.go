// Package logformat parses lines of logs in formats that web servers and security products
// write: CLF and its combined form, the Extended Log Format (ELF) of the W3C, CEF, and LEEF.
// Each becomes a Map with the keys of the Collector's functions ParseCLF, ParseELF, ParseCEF
// and ParseLEEF.
package logformat
