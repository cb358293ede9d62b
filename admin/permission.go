package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"offhook/provisioning/fleet"
)

// everything is the scope of the first admin key and of a super administrator.
const everything = "*"

// open is the scope of what everybody may do, with a key or without.
const open = "none"

// scopes are what a key may hold, beside the administrator's grants.
func scopes() []string {
	return []string{
		"users:read", "users:write", "lines:read", "lines:write", "secrets:reveal", "devices:read", "devices:write",
		"profiles:read", "profiles:write", "domains:read", "domains:write", "groups:read", "groups:write", "numbers:read", "numbers:write",
		"keys:read", "keys:write", "audit:read", "events:read", "webhooks:read", "webhooks:write", "imports:read", "imports:write",
	}
}

// configures reports the scopes that the grant pbx:configure stands for: the telephone system, not who may do what, nor
// what is secret.
func configures(scope string) bool {
	return slices.Contains([]string{
		"users:read", "users:write", "lines:read", "lines:write", "devices:read", "devices:write", "profiles:read", "profiles:write",
		"domains:read", "domains:write", "groups:read", "groups:write", "numbers:read", "numbers:write", "events:read", "imports:read", "imports:write",
	}, scope)
}

func (c caller) may(scope string) bool {
	return scope == open || slices.Contains(c.scopes, everything) || slices.Contains(c.scopes, scope) ||
		configures(scope) && slices.Contains(c.scopes, "pbx:configure")
}

// mayGrant holds that nobody hands out what they lack themselves (R08). What the user had before may stay.
func mayGrant(ctx context.Context, before, after fleet.User) error {
	c := callerOf(ctx)
	if after.Permissions.Mode == "super" && before.Permissions.Mode != "super" && !c.may(everything) {
		return cannotGrant(everything, "/admin_permissions/mode", "only a super administrator can make another one")
	}
	had, chosen := before.EffectivePermissions(), after.Permissions.Grants
	for _, p := range after.EffectivePermissions() {
		if slices.Contains(had, p) || c.may(p) {
			continue
		}
		pointer := "/scope"
		if slices.Contains(chosen, p) {
			pointer = "/admin_permissions/grants"
		}
		return cannotGrant(p, pointer, "only somebody who may do this can let others do it: "+p)
	}
	return nil
}

// mayChangeSignIn holds that nobody gets at what they lack themselves by way of another's sign-in, nor shuts out who may do
// more: who sets a password or the address that invitations go to, or lets a user in, could be that user (R08), and who
// takes them away locks up a house that they could not open again.
func mayChangeSignIn(ctx context.Context, before, after fleet.User) error {
	pointer := ""
	switch {
	case !after.PasswordHash.Equal(before.PasswordHash):
		pointer = "/password"
	case !strings.EqualFold(after.Email, before.Email):
		pointer = "/email"
	case after.LoginEnabled != before.LoginEnabled:
		pointer = "/login_enabled"
	case after.Scope == "no_portal" && before.Scope != "no_portal":
		pointer = "/scope"
	case after.Permissions.Mode != "super" && before.Permissions.Mode == "super":
		pointer = "/admin_permissions/mode"
	default:
		return nil
	}
	return errors.Join(mayStandFor(ctx, before, pointer), mayStandFor(ctx, after, pointer))
}

// mayStandFor holds that the caller may do all that a user may.
func mayStandFor(ctx context.Context, u fleet.User, pointer string) error {
	c := callerOf(ctx)
	if u.Permissions.Mode == "super" && !c.may(everything) {
		return cannotGrant(everything, pointer, "only a super administrator decides whether and how another one signs in")
	}
	for _, p := range u.EffectivePermissions() {
		if !c.may(p) {
			return cannotGrant(p, pointer, "only somebody who may do what this user may decides whether and how the user signs in: "+p)
		}
	}
	return nil
}

func cannotGrant(scope, pointer, detail string) error {
	p := newProblem(http.StatusForbidden, "cannot-grant", detail)
	p.Scope, p.Errors = scope, []violation{{Code: "cannot-grant", Detail: detail, Pointer: pointer}}
	return p
}
