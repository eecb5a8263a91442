// Package filestorageextension is the extension "file_storage": a directory in which the
// queues of exporters are kept.
//
//	extensions:
//	  file_storage: {directory: /var/lib/penstock, max_size: 10737418240}
//	exporters:
//	  otlp: {sending_queue: {storage: file_storage}}
//
// Its keys are the Collector's, but the files are penstock's journal. Files that the
// Collector's extension has left in the directory are reported at start, and neither
// changed nor deleted.
package filestorageextension
