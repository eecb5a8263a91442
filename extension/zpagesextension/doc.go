// Package zpagesextension is the extension "zpages": web pages that show the
// state of the running pipelines, rendered on the server, without scripts.
//
//	/debug/statusz     received and sent items, rates, memory
//	      /servicez    version, uptime, configuration with secrets hidden
//	      /pipelinez   pipelines and their components
//	      /extensionz  extensions
//	      /featurez    feature gates
//	      /tracez      a note that spans are not recorded
//
//	Source ──component.Status──► page (state of rates) ──html/template──► HTML under a strict CSP
//
// The names are the Collector's, except statusz.
//
// The one trap: names of components and texts of errors come from outside. They
// must reach a page only through html/template, never as template.HTML.
package zpagesextension
