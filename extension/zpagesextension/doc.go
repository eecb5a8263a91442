// Package zpagesextension is the extension "zpages": pages that show what the
// running pipelines do, made on the server, without scripts.
//
//	/debug/statusz     what comes in and goes out, rates, memory
//	      /servicez    version, uptime, configuration with its secrets hidden
//	      /pipelinez   pipelines and their components
//	      /extensionz  extensions
//	      /featurez    feature gates
//	      /tracez      says that spans are not recorded
//
//	Source ──component.Status──► page (state of rates) ──html/template──► HTML under a strict CSP
//
// The names are the Collector's, but for statusz.
//
// The one trap: names of components and texts of errors come from outside. They
// reach a page only through html/template, never as template.HTML.
package zpagesextension
