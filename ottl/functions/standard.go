package functions

import "github.com/penstock-telemetry/penstock/ottl"

// Standard returns the functions that every processor has.
func Standard() []ottl.Function {
	return []ottl.Function{set, deleteKey}
}

var set = ottl.Function{Name: "set", Params: ottl.P("target", "value"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	value, err := a.Value(1)
	if err != nil {
		return nil, err
	}
	return func(e *ottl.Env) error {
		v, err := value(e)
		if err != nil {
			return err
		}
		return target.Set(e, v)
	}, nil
}}

var deleteKey = ottl.Function{Name: "delete_key", Params: ottl.P("target", "key"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	key, err := a.String(1)
	if err != nil {
		return nil, err
	}
	return func(e *ottl.Env) error {
		m, err := target.Map(e)
		if err != nil {
			return err
		}
		k, err := key(e)
		if err != nil {
			return err
		}
		if i := m.FindBytes(k.Bytes()); i >= 0 {
			m.DeleteAt(i)
			return target.Put(e, m)
		}
		return nil
	}, nil
}}
