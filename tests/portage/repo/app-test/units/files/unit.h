#pragma once
#ifdef __cplusplus
extern "C" {
#endif
#define UNITS(F) F(a) F(b) F(c) F(d) F(e) F(f) F(g) F(h) F(i) F(j) F(k) F(l) F(m) F(n)
#define DECLARE(name) int unit_##name(int);
UNITS(DECLARE)
#ifdef __cplusplus
}
#endif
