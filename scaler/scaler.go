// Package scaler is the loop: it reads every rule's signals, lets [rules.Decide]
// judge, plans one short step, journals it, and asks the provider or the traffic.
package scaler
