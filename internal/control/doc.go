// Package control lets commands see and change what a service has in a storage: directly
// if no process has it, and over a unix socket in its folder if one does.
//
//	GET  /dead-letters?pipeline=P                 a list of Letter; without P: of all pipelines
//	GET  /dead-letters/{pipeline}/{sequence}         a Letter
//	GET  /dead-letters/{pipeline}/{sequence}/record  the record, as package record has it
//	POST /dead-letters/drop                          a Drop; the answer is a Dropped
//	POST /reload                                     a Reload; the answer is text
//
// All but the record and the answer of a reload is JSON; the answer to what fails is a line of text.
//
// The socket has mode 0600 in a folder of mode 0700: a client that can connect could read
// the files as well. There is no other protection.
package control

import (
	"net/url"
	"path/filepath"
)

// Folder is that of the queues in the directory of a storage.
func Folder(storage string) string { return filepath.Join(storage, "penstock") }

// Pipelines is the folder of the queues, with a folder for each pipeline.
func Pipelines(storage string) string { return filepath.Join(Folder(storage), "pipelines") }

// DeadLetters is that of the dead letters, with a folder for each pipeline.
func DeadLetters(storage string) string { return filepath.Join(Folder(storage), "dead-letters") }

// Receivers is that of what receivers keep, with a folder for each.
func Receivers(storage string) string { return filepath.Join(Folder(storage), "receivers") }

// FileName is the id of a pipeline or a component as the name of a folder.
func FileName(id string) string { return url.PathEscape(id) }
