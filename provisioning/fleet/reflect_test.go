package fleet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// fill sets everything reachable in v to something that is not zero and depends on seed.
func fill(v reflect.Value, seed int) {
	switch at := v.Addr().Interface().(type) {
	case *Secret:
		*at = NewSecret(fmt.Sprintf("secret-%d-%x", seed, v.Addr().Pointer()&0xffff))
		return
	case *time.Time:
		*at = time.Date(2026, 1, seed, 12, 0, 0, 0, time.UTC)
		return
	case *netip.Prefix:
		*at = netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", seed))
		return
	case *json.RawMessage:
		*at = json.RawMessage(fmt.Sprintf(`[{"id":"event %d"}]`, seed))
		return
	case *MAC:
		*at = MAC(fmt.Sprintf("0015650000%02d", seed))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", seed))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(seed))
	case reflect.Uint64:
		v.SetUint(uint64(seed))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), seed)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), seed)
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, seed)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), seed)
		}
	default:
		panic("fill does not know " + v.Type().String())
	}
}

// scramble changes everything that v shares by pointer, slice or map with the value that it was copied from.
func scramble(v reflect.Value, seed int) {
	switch v.Interface().(type) {
	case json.RawMessage:
		v.Index(0).SetUint('{')
		return
	case Secret, time.Time, netip.Prefix:
		return // cannot be changed in place
	}
	switch v.Kind() {
	case reflect.Pointer:
		fill(v.Elem(), seed)
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), seed)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			scramble(v.MapIndex(k), seed)
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, seed)
			v.SetMapIndex(k, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			scramble(v.Field(i), seed)
		}
	}
}

// records returns an empty record of each table.
func records() map[string]record {
	out := map[string]record{}
	for _, t := range schema() {
		out[t.name] = t.fresh()
	}
	return out
}

// secretFields returns the address of every Secret in a record, by its path.
func secretFields(v reflect.Value, path string, found map[*Secret]string) {
	if s, ok := v.Addr().Interface().(*Secret); ok {
		found[s] = path
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				secretFields(v.Field(i), path+"."+f.Name, found)
			}
		}
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if holdsSecret(v.Type().Elem()) {
			found[new(Secret)] = path + " (in a list, which the codec cannot seal)"
		}
	}
}

func holdsSecret(t reflect.Type) bool {
	switch {
	case t == reflect.TypeFor[Secret]():
		return true
	case t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[netip.Prefix]():
		return false
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if holdsSecret(t.Field(i).Type) {
				return true
			}
		}
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer:
		return holdsSecret(t.Elem())
	}
	return false
}
