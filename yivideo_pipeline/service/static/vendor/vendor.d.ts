// The types of what others wrote, for the check of ours.
declare const vendored: any;
export default vendored;
