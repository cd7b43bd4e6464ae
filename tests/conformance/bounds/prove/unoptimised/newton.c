/* Integer square root by Newton's method, at most 20 steps. */
__attribute__((export_name("infer"))) unsigned infer(unsigned n) {
  unsigned x = 65536;
  for (int step = 0; step < 20; step++) {
    unsigned y = (x + n / x) / 2;
    if (y >= x) break;
    x = y;
  }
  return x;
}
