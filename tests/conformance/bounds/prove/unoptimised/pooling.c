/* The greatest of each 2x2 of 8x8 floats. */
float in_buf[8 * 8], out_buf[4 * 4];
static float larger(float a, float b) { return a > b ? a : b; }
__attribute__((export_name("infer"))) int infer(void) {
  for (int y = 0; y < 8; y += 2)
    for (int x = 0; x < 8; x += 2) {
      float top = larger(in_buf[y * 8 + x], in_buf[y * 8 + x + 1]);
      float low = larger(in_buf[y * 8 + 8 + x], in_buf[y * 8 + 8 + x + 1]);
      out_buf[(y / 2) * 4 + x / 2] = larger(top, low);
    }
  return 0;
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
