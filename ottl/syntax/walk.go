package syntax

// Walk calls visit for x and for all expressions in it, each before those in it.
func Walk(x Expr, visit func(Expr)) {
	switch c := x.(type) {
	case nil:
		return
	case *Call:
		if c == nil {
			return
		}
	}
	visit(x)
	switch x := x.(type) {
	case *Call:
		for _, a := range x.Args {
			Walk(a.Value, visit)
		}
		walkKeys(x.Keys, visit)
	case *Path:
		for _, s := range x.Segments {
			walkKeys(s.Keys, visit)
		}
	case *List:
		for _, e := range x.Elements {
			Walk(e, visit)
		}
	case *Map:
		for _, e := range x.Entries {
			Walk(e.Value, visit)
		}
	case *Unary:
		Walk(x.X, visit)
	case *Binary:
		Walk(x.X, visit)
		Walk(x.Y, visit)
	}
}

func walkKeys(keys []Key, visit func(Expr)) {
	for _, k := range keys {
		Walk(k.Value, visit)
	}
}
