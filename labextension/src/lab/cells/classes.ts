export const BADGE_CLASS = 'nbp-CellBadge';
export const RULE_CLASS = 'nbp-CellRule';
export const MARKS_CLASS = 'nbp-CellMarks';
export const GHOST_CLASS = 'nbp-CellGhost';
/** On cells with a badge: the lab's toolbar of the cell makes room for it. */
export const TAGGED_CLASS = 'nbp-mod-tagged';
/** Colours of stages that the style sheet has; they repeat after that. */
export const COLOURS = 8;
