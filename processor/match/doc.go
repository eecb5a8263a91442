// Package match is the Collector's include and exclude: properties of items, compiled
// to a test over the bytes of an item, its resource and its scope. The processors
// attributes, span and filter share it.
//
//	rule, err := match.Compile(otlp.Logs, cfg.Include, cfg.Exclude)
//	…
//	t := rule.NewTester()             // one for each editor
//	t.Resource(pass, resource)        // for each resource,
//	t.Scope(pass, scope)              // for each scope in it,
//	if t.Selects(pass, record) { … }  // and for each item in that
//
// What depends on the resource and the scope alone is tested once for each of them.
// Nothing is allocated for each item, unless the body of a log record is a list or a map.
//
// A list of names matches if one of them does. A list of attributes, resources or
// libraries matches if all do. All lists together match if each of them does.
package match
